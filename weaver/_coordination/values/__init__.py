"""Values as people and models write them: numbers with units, dates, words; reading and comparing them."""
