"""python -m tests.campaign: see `campaign`.

Worker processes import this file as their parent's, and nothing more.
"""

if __name__ == "__main__":
    from tests.campaign.campaign import main

    main()
