"""What the parts of ChronicleLedger say to each other: constants and documents, no input and no output.

Ledger, operator and scenario runs are processes that may be of different releases. So a document is decoded leniently:
a member that this release does not know is passed over. A name that is in use is never given another meaning.
"""
