"""The acme backbones.

This module and `network.py` do not import zoo, so that a trained network can be used where zoo is not installed.
`plugin.py` describes the backbones to zoo.
"""
