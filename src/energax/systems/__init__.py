"""Whole papers, put together from the floors below; nothing below knows them."""
