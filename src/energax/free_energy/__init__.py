"""free_energy."""
