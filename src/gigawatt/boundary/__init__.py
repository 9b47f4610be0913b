"""How it is fenced: keys, targets of the five planes, reachability and the isolation proof."""
