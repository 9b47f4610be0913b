"""The market: what capacity costs, who may have it when, and what was used. Pure."""
