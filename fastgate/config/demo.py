"""The sample organisation of ``fastgate demo``, as a configuration file that a reader can learn from."""

from typing import Final

_TEMPLATE: Final = """\
# A sample organisation: one customer, two teams, four keys, budgets at every level.
# Everything is answered by the simulator, so the money is play money.

providers:
  sim:
    type: sim
    base_url: http://127.0.0.1:{port}
    keys: [{{name: demo, value: simulated}}]

models:
  fast:
    targets: [{{provider: sim, model: sim-small}}]
  smart:
    targets: [{{provider: sim, model: sim-large, weight: 3}}, {{provider: sim, model: sim-cached, weight: 1}}]
  thinker:
    targets: [{{provider: sim, model: sim-reasoning}}]

customers:
  - id: acme
    name: Acme
    budgets: [{{limit_usd: "1000", window: month}}]

teams:
  - id: platform
    customer: acme
    environment: prod
    budgets: [{{limit_usd: "400", window: month}}]
  - id: research
    customer: acme
    environment: dev
    budgets: [{{limit_usd: "20", window: day}}, {{name: burst, limit_usd: "5", window: {{every: 3, unit: hour}}}}]

keys:
  - id: chatbot
    team: platform
    secret: sk-fg-demo-chatbot
    models: [fast, smart]
    budgets: [{{limit_usd: "25", window: day}}]
    tags: {{product: support}}
  - id: coding-agent
    team: platform
    secret: sk-fg-demo-coding-agent
    providers: [{{provider: sim, budgets: [{{limit_usd: "50", window: week}}]}}]
    tags: {{product: ide}}
  - id: notebook
    team: research
    secret: sk-fg-demo-notebook
    models: [fast, thinker, "sim/*"]
    tags: {{product: notebook}}
  - id: trial   # small enough to be spent while one watches
    team: research
    secret: sk-fg-demo-trial
    models: [fast]
    budgets: [{{limit_usd: "0.02", window: hour}}]
    tags: {{product: trial}}
"""


def demo(simulator_port: int) -> str:
    """The YAML text; its provider ``sim`` is the simulator on this port."""
    return _TEMPLATE.format(port=simulator_port)
