"""The benchmark in the encoder: BD-rate against CPU time, beside presets and controls."""
