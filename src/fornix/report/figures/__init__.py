"""Figures of the page, one module a kind of fit."""
