"""Open data: how many people were where and when, of crowds alone and with noise.

Source: docs/ORDINANCE.md; 個人情報保護法109条以下に準じた公表統計.
"""
