"""console.api: the operators' API, one module a family of routes; each exports `router`.

In: requests of callers with a right (`needs`). Out: JSON as the models say, problem details for errors.
"""
