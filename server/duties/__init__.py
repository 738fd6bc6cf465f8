"""What the ordinance wants of the city itself: cameras' records, masks, the board's gates, disasters, oversight."""
