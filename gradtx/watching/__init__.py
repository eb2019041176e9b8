"""Questions during a run: what has happened, and is it healthy?"""
