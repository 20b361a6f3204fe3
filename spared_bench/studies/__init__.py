"""Studies: one question as variants of one protocol, run by the usual planner into the usual store.

``model`` reads the YAML, ``variants`` turns levels into protocols and checks them, ``planning``
makes a plan of each, ``running`` carries them out, ``results`` collects what there is,
``comparing`` holds levels against their base, ``page`` and ``tables`` write it down.
"""
