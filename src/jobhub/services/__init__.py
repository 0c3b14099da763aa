"""The use-cases, one public function each: rules and their order, no transport. The web and the command line call these."""
