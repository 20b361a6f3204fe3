"""Submissions: results of others whose core is the predictions, checked without running anything.

==================  ===============================================================================
``schema.py``       the files of a bundle, as pydantic models; every text and number bounded
``codec.py``        predictions as 16-bit steps, and reading them without numpy's pickles
``bundle.py``       the names of its files, and writing them
``opening.py``      opening an archive of a stranger
``truth.py``        what is scored against, from the checker's own workspace, and its hash
``rescoring.py``    from predictions to scores, as the protocol says
``build.py``        a bundle of the finished runs of a workspace
``check.py``        everything that is asked of a bundle: problems refuse it, flags are shown;
                    ``report.py`` what it found
``names.py``        whose a method's name is: keys, signatures, repositories
``forensics.py``    pure functions behind the flags; ``ceiling.py`` the noise of counts,
                    ``sketches.py`` traces by which copies are found, ``suspicion.py`` the flags
``standing.py``     the rank that a method would have; ``comment.py`` says it in Markdown
``request.py``      a pull request with bundles, as data
``add.py``          into ``leaderboards/``, and withdrawing
==================  ===============================================================================
"""
