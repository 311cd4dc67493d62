"""A local page to change neurons of a model and read what it translates then."""
