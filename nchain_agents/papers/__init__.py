"""Published figures beside ours: one module for each paper that `nchain reproduce --paper` knows.

Only figures that were seen at their source are printed as published. The tutorial's reproduction
has a package of its own, `nchain_agents.article`.
"""
