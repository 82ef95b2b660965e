"""The Domain page: ``page`` puts it together, one module for each part of it."""
