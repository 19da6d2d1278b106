"""The network: backbones, adapters, ensembles, checkpoints, and which data a model may meet."""
