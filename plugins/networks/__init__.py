"""Parts of networks that several built-in predictors share."""
