"""The composition root: the only place that names concrete classes. It builds; it decides nothing.

room.py     what both doors read through
mount.py    the mount door
sync.py     the sync door
plugin.py   a kubeconfig's credential plug-in
"""
