"""Where the files of a slide lie in what a source publishes: one file for each kind of archive.

Every one has ``read_slide(folder, slide_id)``; slide ids are unique within a source, so that is
all that needs saying. What the archives hold is as the published readers of SpaRED find it.
"""
