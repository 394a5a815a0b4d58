"""Mirror Descent Policy Optimization (Tomar et al. 2020), off-policy and on-policy."""
