"""Problems as outcome tables, one in each module."""
