"""SecretProviderClass: from its parameters to a plan, and from a plan and values to files. Pure: no I/O, no clock.

    goyaml    YAML as the AWS provider's Go decoder reads it, with line numbers
    objects   parameters → ``Plan``; every rule, all problems at once
    paths     which file names a volume can have
    files     ``Plan`` and values → files and their versions
    plan      the values between them

Both doors use it: a mount, and a sync of ``secretObjects`` without a mount.
"""
