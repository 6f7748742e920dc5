"""xensnap's plugin for a XenServer or XCP-ng host's control domain (dom0).

xapi executes this file with one argument, an XML-RPC <methodCall> of (session, struct of strings),
and reads one XML-RPC response from standard output (xapi_plugins.ml). Nothing else may be printed
there. The one argument that counts is `params`, a JSON object; what comes back is JSON text.

It stands alone: standard library only, no module of dom0, the same file on Python 2.7, 3.6 and later.
"""
