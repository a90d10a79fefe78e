"""Rules about cameras and about the folders that their footage is in (facts: core.camera).

Five codes are about the picture; they share one judgement (`picture`), so that one cause makes one event.
"""
