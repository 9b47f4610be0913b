"""The lab's network: spines, leaves and a gateway, cabled to nodes, guests and the world."""
