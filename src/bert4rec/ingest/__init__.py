"""Raw tables to a prepared folder. The only package that needs a dataframe library."""
