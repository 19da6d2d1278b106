"""Parts that every report shares: sections, figure style, page writer."""
