"""The fleet map: what stands where and who holds it, as geometry, SVG and text cells."""
