"""The pure heart: item, message, facts and a moment go in; a new item and its effects come out."""
