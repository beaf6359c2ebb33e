"""ExternalSecrets of kubernetes-client.io to and from the External Secrets Operator's manifests. Pure.

forward.py     a plan and its manifest → the operator's ExternalSecret and stores
backward.py    the operator's ExternalSecret on AWS → one of kubernetes-client.io
stores.py      the operator's stores, as far as they are on AWS
gotemplate.py  ``<%= data.x %>`` → ``{{ .x }}``
lodash.py      ``{{ .x }}`` → ``<%= data.x %>``
expression.py  the tokens of both
notation.py    property paths, times and paths of parameters in both notations
told.py        what a conversion tells; what the caller chooses
taken.py       fields, each either asked for or told as lost
"""
