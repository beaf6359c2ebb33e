"""SecretProviderClass: from its parameters to a plan, and from a plan and values to files. Pure: no I/O, no clock.

goscalar.py     what a YAML scalar is to the AWS provider's Go decoder, and what was written
goyaml.py       YAML as that decoder reads it, with line numbers, bounded
fields.py       the fields of an object, read without stopping at the first problem
settings.py     the parameters beside ``objects``: regions, file naming, identity, roles
references.py   an object's name, type, versions and regions → what is read
objects.py      parameters → ``Plan``; every rule, all problems at once
paths.py        which file names a volume can have
jsonvalue.py    JSON values and what JMESPath expressions point to, with bounded work
files.py        ``Plan`` and values → files and their versions
plan.py         the values between them

Both doors use it: a mount, and a sync of ``secretObjects`` without a mount.
"""
