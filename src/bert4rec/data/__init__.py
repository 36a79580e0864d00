"""Raw tables to packed batches."""
