"""Policy of budgets: hierarchy, and how much to hold."""
