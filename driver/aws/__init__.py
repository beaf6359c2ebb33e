"""AWS: identities into credentials, references into values. The only package that knows the AWS SDK.

auth.py              who a pod is: tokens into credentials, kept while they hold; role chains
sts.py               the two AssumeRole operations
podidentity.py       credentials from the EKS Pod Identity agent
ambient.py           the process's own credentials, by boto3
secretsmanager.py    reads secrets, twenty in a call
parameterstore.py    reads parameters, ten in a call, and all below a path
transport.py         a call: signed, paced, retried, translated
request.py           what a call is, and the bytes that it sends (pure)
pace.py              retry budgets, first contact, measured pace
failures.py          what an AWS error code means for the caller
refusals.py          how AWS says no, in JSON and XML
session.py           where services are and how they are trusted
signing.py           Signature Version 4 (pure)
"""
