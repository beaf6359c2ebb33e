"""The checks of ``keyferry doctor``: what a cluster has → rows with level, finding and remedy.

facts.py          what was read of a cluster, and which rights for it were missing
kinds.py          the kinds of objects that are read, and their fields that count
gather.py         reads it, by GET alone
row.py            one line of the answer
survey.py         the classes and ExternalSecrets, each read once with the doors' parsers
programs.py       driver, provider and controller, recognised by what they run (pure)
driverside.py     the CSIDriver object, the CRDs, the driver's DaemonSet and its flags (pure)
providers.py      a provider on every node, and one only (pure)
controller.py     keyferry sync: replicas, Lease, CRD (pure)
manifests.py      classes and ExternalSecrets through the checks of ``keyferry lint`` (pure)
identities.py     service accounts and their roles (pure)
claims.py         Secrets that several want (pure)
troubles.py       pods that wait for a volume, ExternalSecrets that fail (pure)
report.py         rows as text and as JSON (pure)
"""
