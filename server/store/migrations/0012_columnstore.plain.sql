-- PostgreSQL alone has no columnstore: a day that is over got its index when it was sealed, and stays as it is.
SELECT 1;
