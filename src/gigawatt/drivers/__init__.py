"""One folder a driver family; drivers never import each other."""
