"""The data contract: BlockSets, their format, splits, sampling, costs and previews."""
