"""Payments through Stripe: pages of Stripe's own, so that no card ever comes near us."""
