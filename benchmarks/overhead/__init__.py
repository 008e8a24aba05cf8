"""What the live API costs, beside its peers: the same requests, the same machine, the same run."""
