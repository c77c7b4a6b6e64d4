"""Search in datasets: by vectors, by words, or by both fused by their ranks."""

from files.search.hybrid import SearchResult, search

__all__ = ["SearchResult", "search"]
