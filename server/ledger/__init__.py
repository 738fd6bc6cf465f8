"""The ledger process: gives committed audit entries their place in the tree, signs, publishes, asks the witnesses."""
