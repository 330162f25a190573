"""`r1net`: what a submitter types. Commands return models, one renderer prints them."""
