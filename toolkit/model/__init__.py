"""The network: backbones, adapters, ensembles, checkpoints, and the data that a model may meet."""
