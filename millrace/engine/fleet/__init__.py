"""The fleet: pools, their prices, what is known of them now, and the exchange of work with them."""
