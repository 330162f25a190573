"""One thin module for each noun; commands return models, one renderer prints them."""
