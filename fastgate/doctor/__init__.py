"""What `fastgate doctor` looks at: the machine, the folders, the stores, the network."""
