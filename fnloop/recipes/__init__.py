"""Recipes: trainers whose settings follow from the data by stated rules."""

from fnloop.recipes.table import tabular

__all__ = ["tabular"]
